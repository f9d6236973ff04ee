"use strict";
// Updates the page once a second: fetches the part that changes and adapts the
// document to it, element by element, so that elements that are open, focused or
// scrolled stay so. It never builds markup: all text comes from the server, escaped.
(() => {
  const every = 1000, patience = 10000;
  const page = document.getElementById("page");
  const build = page.dataset.build;
  const source = location.origin + location.pathname + "?part";

  const bar = document.createElement("p");
  bar.className = "bar";
  const said = document.createElement("span");
  said.setAttribute("role", "status");
  const button = document.createElement("button");
  button.type = "button";
  bar.append(said, button);
  page.before(bar);

  let paused = false, answered = Date.now(), timer = 0, asking = false;

  function show() {
    say(button, paused ? "resume" : "pause");
    const silent = Math.round((Date.now() - answered) / 1000);
    const lost = !paused && silent > 2.5 * every / 1000 && !document.hidden;
    say(said, paused ? "paused" : lost ? "no answer for " + silent + " s; this page is out of date" : "live");
    document.body.classList.toggle("lost", lost);
    document.body.classList.toggle("paused", paused);
    document.title = (lost ? "no answer · " : "") + page.dataset.title;
  }

  function say(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function selecting() {
    const s = getSelection();
    return s && !s.isCollapsed && page.contains(s.anchorNode);
  }

  async function renew() {
    clearTimeout(timer);
    if (asking || paused || document.hidden) return;
    asking = true;
    try {
      const answer = await fetch(source, {cache: "no-store", signal: AbortSignal.timeout(patience)});
      const text = answer.ok && !answer.redirected ? await answer.text() : "";
      const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("page");
      if (fresh && fresh.dataset.build !== build) {
        location.reload(); // the program was replaced by one with another version of the page
        return;
      }
      if (fresh && !paused) {
        answered = Date.now();
        if (!selecting()) match(page, fresh);
      }
    } catch (e) {
      // show reports it once it has lasted for a while
    } finally {
      asking = false;
      show();
      timer = setTimeout(renew, every);
    }
  }

  // match adapts the element old to fresh.
  function match(old, fresh) {
    for (const {name} of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !(name === "open" && old.tagName === "DETAILS")) old.removeAttribute(name);
    }
    for (const {name, value} of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const ids = new Set();
    for (const c of fresh.children) if (c.id) ids.add(c.id);
    for (const c of [...old.children]) if (c.id && !ids.has(c.id)) c.remove();

    let at = old.firstChild;
    for (const c of [...fresh.childNodes]) {
      if (c.id && (!at || at.id !== c.id)) {
        const known = [...old.children].find((o) => o.id === c.id);
        if (!known) {
          old.insertBefore(document.importNode(c, true), at);
          continue;
        }
        old.insertBefore(known, at);
        at = known;
      }
      if (!at) {
        old.append(document.importNode(c, true));
      } else if (at.nodeType !== c.nodeType || at.nodeName !== c.nodeName || (at.id || "") !== (c.id || "")) {
        const next = at.nextSibling;
        if (at.id) {
          old.insertBefore(document.importNode(c, true), at); // a later child of fresh matches at
          continue;
        }
        at.replaceWith(document.importNode(c, true));
        at = next;
      } else {
        if (c.nodeType === Node.ELEMENT_NODE) match(at, c);
        else if (at.nodeValue !== c.nodeValue) at.nodeValue = c.nodeValue;
        at = at.nextSibling;
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  button.addEventListener("click", () => {
    paused = !paused;
    answered = Date.now();
    show();
    renew();
  });
  document.addEventListener("visibilitychange", () => {
    answered = Date.now(); // a hidden page sends no requests
    renew();
  });
  addEventListener("pageshow", renew);
  setInterval(show, every);
  show();
  timer = setTimeout(renew, every);
})();
