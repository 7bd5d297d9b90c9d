// The few DOM operations of the page. Texts are always set as text: no function here parses HTML.

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

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Sets a text if it has changed, so that screen readers do not read out an unchanged text again. */
export function setText(element, text) {
  const value = String(text);
  if (element.textContent !== value) element.textContent = value;
}

/** Makes the children of an element match a list, and keeps the element of each item, and the focus with it. */
export function reconcile(parent, items, keyOf, create, update) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : undefined;
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = known.get(key);
    if (child) known.delete(key);
    else {
      child = create(item);
      child.dataset.key = key;
    }
    update?.(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const child of known.values()) child.remove();
  keepFocus(focused, parent);
}

/**
 * Gives the focus back to an element that had it before the page has changed: moving an element takes its focus away. If
 * it is gone or disabled, the heading of its part of the page gets the focus, so that a keyboard goes on from there.
 */
export function keepFocus(focused, part) {
  if (!focused || (document.activeElement === focused && !focused.disabled)) return;
  focused.blur();
  if (focused.isConnected && !focused.disabled) focused.focus({ preventScroll: true });
  if (document.activeElement === focused) return;
  part.closest('aside, section')?.querySelector('[tabindex="-1"]')?.focus({ preventScroll: true });
}

/** Lets a chart draw in the pixels of the page, so that its labels keep their size. Returns its width. */
export function fitToWidth(chart, height) {
  const width = Math.max(240, chart.clientWidth);
  chart.setAttribute('viewBox', `0 0 ${width} ${height}`);
  return width;
}
