// Package demodata holds invented people for demonstrations: a register as a
// CSV file and portraits that were drawn by a program.
package demodata

import "errors"

// Register is the name of the register file that Write creates.
const Register = "registry.csv"

// Write puts the register and the portraits into dir, creating it if need
// be. Files that exist already are left as they are, so that people can edit
// them.
func Write(dir string) error { return errors.New("demodata: not there yet") }
