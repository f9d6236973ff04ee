package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// facts is what is stored of a page.
type facts struct {
	path  string
	title string
	bytes int
	words int
	links int
	fault string // why there is nothing else; empty if all is well
}

// parse is a handler of the pool. A page that could not be fetched passes through
// it with its error.
func parse(ctx context.Context, p page) (facts, error) {
	found := facts{path: p.path, bytes: len(p.body)}
	if p.err != nil {
		found.fault = p.err.Error()
		return found, nil
	}
	tokens := html.NewTokenizer(bytes.NewReader(p.body))
	var inside atom.Atom // the element whose text is no text of the page
	for ctx.Err() == nil {
		switch tokens.Next() {
		case html.ErrorToken:
			if err := tokens.Err(); !errors.Is(err, io.EOF) {
				return facts{}, err
			}
			return found, nil
		case html.StartTagToken:
			switch tag := tokens.Token(); tag.DataAtom {
			case atom.Title, atom.Style, atom.Script:
				inside = tag.DataAtom
			case atom.A:
				found.links++
			}
		case html.EndTagToken:
			inside = 0
		case html.TextToken:
			text := strings.Fields(string(tokens.Text()))
			switch inside {
			case 0:
				found.words += len(text)
			case atom.Title:
				found.title = strings.Join(text, " ")
			}
		}
	}
	return facts{}, context.Cause(ctx)
}
