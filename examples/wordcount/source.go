package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
)

// blockLines is how many lines make a job. Counting one line takes about as long as
// handing it to a worker; for a block of a few hundred lines that cost does not matter.
const blockLines = 256

// A source reads files one after another; "-" is stdin.
type source struct {
	files []string
	stdin io.Reader
	err   error // why blocks ended before the last line, or nil
}

// start reads the files on a new goroutine, and returns the channel on which it sends
// the blocks. The goroutine closes the channel after the last block, when err is final.
// It returns when ctx ends, unless it is in a read that does not return, such as one
// from a terminal at which nobody types. Then it ends with the program.
func (s *source) start(ctx context.Context) <-chan []string {
	blocks := make(chan []string)
	go func() {
		defer close(blocks)
		for block := range s.blocks {
			select {
			case blocks <- block:
			case <-ctx.Done():
				return
			}
		}
	}()
	return blocks
}

// blocks yields the lines of all files in order, blockLines at a time. A block has
// lines of one file only.
func (s *source) blocks(yield func([]string) bool) {
	for _, name := range s.files {
		more, err := s.file(name, yield)
		if err != nil {
			s.err = fmt.Errorf("%s: %w", name, err)
		}
		if err != nil || !more {
			return
		}
	}
}

// file yields the blocks of one file and reports whether more are wanted.
func (s *source) file(name string, yield func([]string) bool) (more bool, err error) {
	r := s.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return false, err
		}
		defer f.Close()
		r = f
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20) // the longest line
	block := make([]string, 0, blockLines)
	for lines.Scan() {
		block = append(block, lines.Text())
		if len(block) < blockLines {
			continue
		}
		if !yield(block) {
			return false, nil
		}
		block = make([]string, 0, blockLines) // the old block now belongs to a worker
	}
	if err := lines.Err(); err != nil {
		return false, err
	}
	return len(block) == 0 || yield(block), nil
}
