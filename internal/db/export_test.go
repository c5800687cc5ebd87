package db

// Waiting is how many transactions wait for the writer.
func Waiting(d *DB) int {
	d.queue.mu.Lock()
	defer d.queue.mu.Unlock()
	return len(d.queue.waiting)
}
