/**
 * Makes the children of a list these elements, and touches none that is there already: the focus stays where it is, and a
 * screen reader reads out only what is new.
 */
export function show(list, elements) {
  const wanted = new Set(elements);
  for (const old of list.querySelectorAll(':scope > *')) if (!wanted.has(old)) old.remove();
  elements.forEach((element, place) => {
    const there = list.children[place];
    if (there !== element) list.insertBefore(element, there ?? null);
  });
}

/** Sets a text if it has changed. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
