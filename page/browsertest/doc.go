// Package browsertest tests the page of package page in a real browser: the page
// updates itself, open elements stay open, it sends requests to its own server only,
// and it is readable in dark mode and on a phone.
//
// The tests need Chromium or Chrome on the PATH (on Debian: apt-get install
// chromium), and are skipped if there is none. They are in a module of their own,
// so that no other module requires the library that drives the browser.
package browsertest
