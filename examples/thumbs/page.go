package main

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/url"
	"os"
	"path/filepath"

	"example.com/dispatch/examples/internal/words"
)

// pageName is the page's name in the folder of the thumbnails.
const pageName = "index.html"

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New(pageName).Parse(pageText))

// mark is a text that every page of this program has.
const mark = `<meta name="generator" content="dispatch example thumbs">`

// isOwnPage reports whether the page in dir was written by this program.
func isOwnPage(dir string) (bool, error) {
	text, err := os.ReadFile(filepath.Join(dir, pageName))
	return bytes.Contains(text, []byte(mark)), err
}

// A shown is a thumbnail with the links that the page needs.
type shown struct {
	thumb

	Title, Src, Link string // Link leads to the original
}

// writePage writes a page that shows the thumbnails in dir, whose sides are at most
// size, and returns its path. Each thumbnail links to its original.
func writePage(dir string, thumbs []thumb, size int) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	all := make([]shown, len(thumbs))
	for i, t := range thumbs {
		original, err := filepath.Abs(t.Original)
		if err != nil {
			return "", err
		}
		if relative, err := filepath.Rel(dir, original); err == nil {
			original = relative
		}
		all[i] = shown{thumb: t, Title: filepath.Base(t.Original), Src: link(t.Name), Link: link(original)}
	}
	view := struct {
		Title  string
		Size   int
		Thumbs []shown
	}{words.Count(len(all), "thumbnail"), size, all}
	var page bytes.Buffer
	if err := pageTemplate.Execute(&page, view); err != nil {
		return "", err
	}
	name := filepath.Join(dir, pageName)
	return name, os.WriteFile(name, page.Bytes(), 0o644)
}

// link returns the URL by which a page links to a path.
func link(path string) string {
	return (&url.URL{Path: filepath.ToSlash(path)}).String()
}
