// Package demodata holds invented people for demonstrations: a register as a
// CSV file in the form that issuer/source reads, and their portraits, which a
// program draws (folder portraits). They live in Utopia, country code UT.
//
//	ada     adult with several driving privileges
//	jonas   two nationalities, licence with restrictions
//	olena   name in Cyrillic letters beside the Latin one
//	yusuf   born on 29 February, name in Arabic letters
//	mei     came of age but is under 21 in 2026, name in Japanese characters
//	leo     a minor without a driving licence
//	rosa    the eldest
//	kwame   citizen of another country than the issuing one
package demodata

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:generate go run ./portraits people

// Register is the name of the register file that Write creates.
const Register = "registry.csv"

//go:embed registry.csv people/*.jpg
var files embed.FS

// Write puts the register and the portraits into dir, creating it if need
// be. Files that exist already are left as they are, so that people can edit
// them. Only the owner can read them.
func Write(dir string) error {
	return fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(path))
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		data, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		return create(target, data)
	})
}

// create writes a file that does not exist yet. It appears complete or not at
// all.
func create(path string, data []byte) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return replace(path, data)
}

// replace writes a file under another name first, then renames it.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("demo data: %w", err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("demo data: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
