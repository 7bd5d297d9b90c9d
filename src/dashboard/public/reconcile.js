// Brings a part of the page up to date without taking the focus away.

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
