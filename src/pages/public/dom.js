// The few DOM operations of every page, served beside its own files. Texts are always set as text: no function here
// parses HTML.

export const $ = (selector, root = document) => root.querySelector(selector);

/** An element: attributes and properties, then children (texts or elements). */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Sets a text if it has changed, so that screen readers do not read out an unchanged text again. */
export function setText(element, text) {
  const value = String(text);
  if (element.textContent !== value) element.textContent = value;
}
