// Command portraits draws the portraits of the invented people of the demo.
// Nobody sat for them: every face is a handful of shapes and numbers. The
// result is the same on each run.
//
//	go run . DIRECTORY
package main

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
)

// What a portrait file may weigh. Real ones of driving licences do.
const (
	lightest = 15 << 10
	heaviest = 25 << 10
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: portraits DIRECTORY")
		os.Exit(2)
	}
	for _, f := range faces() {
		if err := write(filepath.Join(os.Args[1], f.name+".jpg"), f.draw()); err != nil {
			fmt.Fprintln(os.Stderr, "portraits:", err)
			os.Exit(1)
		}
	}
}

// write encodes the image in the best quality that stays light enough.
func write(path string, img image.Image) error {
	var b bytes.Buffer
	for quality := 95; quality >= 50; quality-- {
		b.Reset()
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
			return err
		}
		if b.Len() <= heaviest-4<<10 {
			break
		}
	}
	if b.Len() < lightest || b.Len() > heaviest {
		return fmt.Errorf("%s: %d bytes, wanted %d to %d", filepath.Base(path), b.Len(), lightest, heaviest)
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
