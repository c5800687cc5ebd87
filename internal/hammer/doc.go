// Package hammer measures a process under load: how long requests took, how
// much time and memory the process used, and which share of a CPU profile lies
// under given functions.
package hammer
