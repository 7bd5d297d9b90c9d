// What the charts draw with.

/** An element of a chart: attributes, then children. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Lets a chart draw in the pixels of the page, so that its labels keep their size. Returns its width. */
export function fitToWidth(chart, height) {
  const width = Math.max(240, chart.clientWidth);
  chart.setAttribute('viewBox', `0 0 ${width} ${height}`);
  return width;
}
