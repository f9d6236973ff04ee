package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"html/template"
)

var (
	//go:embed page.css
	style string

	//go:embed page.js
	script string

	//go:embed part.html
	part string

	partTemplate = template.Must(template.New("part").Parse(part))

	// build identifies the version of the page. The script compares it with that
	// of each part it fetches.
	build = func() string {
		sum := sha256.Sum256([]byte(style + script + part))
		return hex.EncodeToString(sum[:6])
	}()

	documentHead = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<noscript><meta http-equiv="refresh" content="5"></noscript>
<title>dispatch</title>
<link rel="icon" href="data:,">
<style>` + style + `</style>
</head>
<body>
`
	documentFoot = `<script>` + script + `</script>
</body>
</html>
`

	// A browser applies only the style and the script of this page, and the script
	// may send requests only to this page's server.
	contentSecurityPolicy = "default-src 'none'; style-src '" + hashOf(style) + "'; script-src '" + hashOf(script) +
		"'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// writePart writes the part of the page that changes.
func writePart(out *bytes.Buffer, l look) {
	if err := partTemplate.Execute(out, viewOf(l)); err != nil {
		panic(err) // a bug in this package: the view has only plain values, and a Buffer accepts all writes
	}
}
