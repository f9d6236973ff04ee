package main

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
)

//go:embed index.html
var indexText string

var indexTemplate = template.Must(template.New("index.html").Parse(indexText))

// The picture of the index has columns x rows tiles.
const (
	columns = 4
	rows    = 3
)

// wholePicture is the tile at whose view the picture shows the whole set.
var wholePicture = tile{x: -0.75, y: 0, zoom: 3, depth: wholeSet.depth}

// An indexView is the data of the index page.
type indexView struct {
	Tiles []tileLinks
	Size  int // of a tile, in pixels
	Out   string
	Whole bool // the picture shows the whole set: no zooming out
}

// tileLinks are the links of a tile of the picture.
type tileLinks struct {
	Src string // its image
	In  string // the page at twice the zoom, with the tile in its middle
}

// serveIndex answers with a picture of the tiles around the one in the query. Each
// tile is a request, and so a job, of its own.
func serveIndex(w http.ResponseWriter, r *http.Request) {
	view, err := parseTile(r, wholePicture)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var page bytes.Buffer
	if err := indexTemplate.Execute(&page, newIndexView(view)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = page.WriteTo(w) // an error means that the client is gone
}

func newIndexView(view tile) indexView {
	v := indexView{Size: tileSize, Whole: view.zoom <= wholePicture.zoom}
	width := view.width()
	for row := range rows {
		for column := range columns {
			t := view
			t.x += (float64(column) - (columns-1)/2.0) * width
			t.y += (float64(row) - (rows-1)/2.0) * width
			in := t
			in.zoom *= 2
			v.Tiles = append(v.Tiles, tileLinks{Src: "tile" + t.query(), In: in.query()})
		}
	}
	out := view
	out.zoom = max(out.zoom/2, wholePicture.zoom)
	v.Out = out.query()
	return v
}

// query returns the query that parseTile reads as t.
func (t tile) query() string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	return "?" + url.Values{
		"x": {number(t.x)}, "y": {number(t.y)}, "zoom": {number(t.zoom)}, "depth": {strconv.Itoa(t.depth)},
	}.Encode()
}
