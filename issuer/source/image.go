package source

import (
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"time"
)

// ErrImage says that an image file is missing, too large, not JPEG, or broken.
var ErrImage = fmt.Errorf("image %w", ErrUnfit)

// maxPixels is the longest side of an image. A portrait as ISO/IEC 18013-2
// asks for has a few hundred.
const maxPixels = 4096

// image reads an image file beside the register. The root keeps symbolic
// links from leading out of its directory. A file is decoded when it is first
// seen and again after it changed, and only read otherwise.
func (c *CSV) image(path string) (data []byte, modified time.Time, err error) {
	root, err := os.OpenRoot(filepath.Dir(c.path))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%w: %w", ErrImage, err)
	}
	defer root.Close()
	f, err := root.Open(filepath.FromSlash(path))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%w: %w", ErrImage, withoutPath(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%w: %w", ErrImage, withoutPath(err))
	}
	if !info.Mode().IsRegular() || info.Size() > int64(c.options.MaxImage) {
		return nil, time.Time{}, fmt.Errorf("%w: not a file of at most %d bytes", ErrImage, c.options.MaxImage)
	}
	data = make([]byte, info.Size())
	if _, err = io.ReadFull(f, data); err != nil { // it became shorter at this moment
		return nil, time.Time{}, fmt.Errorf("%w: %w", ErrImage, withoutPath(err))
	}
	c.checkedMu.Lock()
	seen := c.checked[path] == stampOf(info)
	c.checkedMu.Unlock()
	if seen {
		return data, info.ModTime(), nil
	}
	if err := checkJPEG(data); err != nil {
		return nil, time.Time{}, err
	}
	c.checkedMu.Lock()
	c.checked[path] = stampOf(info)
	c.checkedMu.Unlock()
	return data, info.ModTime(), nil
}

// withoutPath takes the file name, which may be a person's, out of an error.
func withoutPath(err error) error {
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// checkJPEG decodes an image once, its size first.
func checkJPEG(data []byte) error {
	if !bytes.HasPrefix(data, []byte{0xff, 0xd8, 0xff}) {
		return fmt.Errorf("%w: not JPEG", ErrImage)
	}
	size, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%w: broken JPEG", ErrImage)
	}
	if size.Width > maxPixels || size.Height > maxPixels {
		return fmt.Errorf("%w: more than %d pixels a side", ErrImage, maxPixels)
	}
	if _, err := jpeg.Decode(bytes.NewReader(data)); err != nil {
		return fmt.Errorf("%w: broken JPEG", ErrImage)
	}
	return nil
}
