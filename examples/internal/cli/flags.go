package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Count defines a flag for a whole number of at least least. The value of *n before the
// call is the default; a value below least means that there is no default.
func (f *Flags) Count(n *int, least int, name, usage string) {
	f.Var(&count{n, least}, name, usage)
}

type count struct {
	n     *int
	least int
}

func (c *count) String() string {
	if c.n == nil || *c.n < c.least { // c.n is nil in the zero value, which package flag makes for comparison
		return ""
	}
	return strconv.Itoa(*c.n)
}

func (c *count) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < c.least {
		return fmt.Errorf("must be a whole number, %d or more", c.least)
	}
	*c.n = n
	return nil
}

// Counts defines a flag for whole numbers of at least least, separated by commas. The
// value of *ns before the call is the default.
func (f *Flags) Counts(ns *[]int, least int, name, usage string) {
	f.Var(&counts{ns, least}, name, usage)
}

type counts struct {
	ns    *[]int
	least int
}

func (c *counts) String() string {
	if c.ns == nil {
		return ""
	}
	parts := make([]string, len(*c.ns))
	for i, n := range *c.ns {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ",")
}

func (c *counts) Set(s string) error {
	var ns []int
	for part := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < c.least {
			return fmt.Errorf("must be whole numbers separated by commas, each %d or more", c.least)
		}
		ns = append(ns, n)
	}
	*c.ns = ns
	return nil
}

// Time defines a flag for a duration above zero. The value of *d before the call is the
// default; zero means that there is no default.
func (f *Flags) Time(d *time.Duration, name, usage string) {
	f.Var(&span{d}, name, usage)
}

type span struct{ d *time.Duration }

func (s *span) String() string {
	if s.d == nil || *s.d == 0 {
		return ""
	}
	return s.d.String()
}

func (s *span) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return errors.New("must be a duration above zero, such as 30s")
	}
	*s.d = d
	return nil
}

// Dir defines a flag for an existing folder.
func (f *Flags) Dir(dir *string, name, usage string) {
	f.Func(name, usage, func(s string) error {
		info, err := os.Stat(s)
		switch {
		case s == "":
			return errors.New("must name a folder")
		case err != nil:
			return err
		case !info.IsDir():
			return errors.New("not a folder")
		}
		*dir = s
		return nil
	})
}

// Address defines a flag for an address to listen on, host:port.
func (f *Flags) Address(addr *string, name, usage string) {
	f.Func(name, usage, func(s string) error {
		if _, _, err := net.SplitHostPort(s); err != nil {
			return errors.New("must be host:port, such as 127.0.0.1:8080")
		}
		*addr = s
		return nil
	})
}
