// Markdown from a model to nodes of this page. Whatever it contains, the result holds only text, lists, tables, links
// and code: no images from anywhere, no styles, no classes that look like ours, no handlers, no forms. Twice over: HTML
// in the text stays text but for a few bare tags, and what comes out is sanitised.

import { Lexer, parser, Renderer } from "./vendor/marked/marked.esm.js";
import "./vendor/dompurify/purify.min.js";
import { copyButton, h } from "./dom.js";

const purify = globalThis.DOMPurify(window);

// Every "<" that does not open or close one of these tags, without attributes, is shown as it stands.
const NOT_A_BARE_TAG = /<(?!\/?(?:b|br|del|em|i|kbd|mark|s|strong|sub|sup|u)\s*\/?>)/gi;

class BareTags extends Renderer {
  html({ text }) {
    return text.replace(NOT_A_BARE_TAG, "&lt;");
  }
}

const OPTIONS = { gfm: true, breaks: true, renderer: new BareTags() };
const POLICY = {
  RETURN_DOM_FRAGMENT: true,
  ALLOWED_TAGS: [
    "a", "b", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img",
    "input", "kbd", "li", "mark", "ol", "p", "pre", "s", "strong", "sub", "sup", "table", "tbody", "td", "th",
    "thead", "tr", "u", "ul",
  ],
  ALLOWED_ATTR: ["align", "alt", "checked", "class", "href", "src", "start", "title", "type"],
  // Everything else that is allowed may hold an address, and then only one of these.
  ADD_URI_SAFE_ATTR: ["align", "checked", "start", "type"],
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?|mailto|tel):/i,
};

function tame(fragment) {
  for (const element of fragment.querySelectorAll("[class]")) {
    if (!(element.localName === "code" && element.className.startsWith("language-"))) element.removeAttribute("class");
  }
  for (const link of fragment.querySelectorAll("a")) {
    if (!link.hasAttribute("href")) {
      link.replaceWith(...link.childNodes); // its address was not one to follow
      continue;
    }
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const image of fragment.querySelectorAll("img")) {
    // A picture from elsewhere tells elsewhere that one reads; it is a link until somebody wants to see it.
    const text = image.alt || "image";
    const href = image.getAttribute("src");
    image.replaceWith(/^https?:/i.test(href) && !image.closest("a")
      ? h("a", { href, target: "_blank", rel: "noopener noreferrer" }, `${text} ↗`) : text);
  }
  for (const input of fragment.querySelectorAll("input")) {
    if (input.type === "checkbox") input.disabled = true;
    else input.remove();
  }
  for (const table of fragment.querySelectorAll("table")) {
    const frame = h("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" });
    table.replaceWith(frame);
    frame.append(table);
  }
  for (const pre of fragment.querySelectorAll("pre")) {
    const language = /^language-([\w+#.-]{1,20})$/.exec(pre.firstElementChild?.className ?? "")?.[1] ?? "";
    const frame = h("div", { class: "code", dir: "ltr" },
      h("div", { class: "code-head" }, h("span", {}, language), copyButton(() => pre.textContent, "Copy code")));
    pre.tabIndex = 0;
    pre.replaceWith(frame);
    frame.append(pre);
  }
  return fragment;
}

/**
 * Show `text` in `container`, keeping the nodes of the blocks that did not change: a streaming answer costs its last
 * block, and a selection or a scrolled code block above it stays as it is.
 */
export function renderMarkdown(container, text, { whole = false } = {}) {
  const blocks = Lexer.lex(text, OPTIONS).filter((token) => token.type !== "space" && token.type !== "def");
  const raws = whole ? [] : container.renderedBlocks ?? [];
  blocks.forEach((token, index) => {
    const old = container.children[index];
    if (old && raws[index] === token.raw) return;
    const block = h("div", { class: "block", dir: "auto" });
    block.append(tame(purify.sanitize(parser([token], OPTIONS), POLICY)));
    if (old) old.replaceWith(block);
    else container.append(block);
  });
  while (container.children.length > blocks.length) container.lastElementChild.remove();
  container.renderedBlocks = blocks.map((token) => token.raw);
}
