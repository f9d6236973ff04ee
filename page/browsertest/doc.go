// Package browsertest looks at the page of package page in a real browser: that
// it renews itself, that what is open stays open, that it asks for nothing but
// itself, and that it can be read in the dark and on a phone.
//
// The tests need Chromium or Chrome on the PATH (on Debian: apt-get install
// chromium), and are skipped where there is none. They are in a module of their
// own, so that nothing else requires what drives the browser.
package browsertest
