package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// facts is the data about a page that is stored.
type facts struct {
	path  string
	title string
	bytes int
	words int
	links int
	fault string // why the page could not be fetched; empty if it was
}

// parse is the handler of the second pool. It passes a page that could not be fetched
// on with its fault.
func parse(ctx context.Context, p page) (facts, error) {
	found := facts{path: p.path, bytes: len(p.body), fault: p.fault}
	tokens := html.NewTokenizer(bytes.NewReader(p.body))
	inside := "" // the title, style or script element that the text is in
	for ctx.Err() == nil {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			if err := tokens.Err(); !errors.Is(err, io.EOF) {
				return facts{}, err
			}
			return found, nil
		}
		found.add(tokens.Token(), &inside)
	}
	return facts{}, context.Cause(ctx)
}

// add counts one token, and keeps inside up to date.
func (f *facts) add(token html.Token, inside *string) {
	name := token.Data
	switch {
	case token.Type == html.StartTagToken && name == "a":
		f.links++
	case token.Type == html.StartTagToken && slices.Contains([]string{"title", "style", "script"}, name):
		*inside = name
	case token.Type == html.EndTagToken:
		*inside = ""
	case token.Type == html.TextToken && *inside == "title":
		f.title = strings.Join(strings.Fields(token.Data), " ")
	case token.Type == html.TextToken && *inside == "":
		f.words += len(strings.Fields(token.Data))
	}
}
