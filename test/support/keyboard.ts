import type { Page } from 'playwright-core';

// In the page: where Tab has led so far, and what a keyboard has to reach.
const START = `(() => {
  const focusable = 'a[href], button, input, select, textarea, summary, [tabindex="0"]';
  const isReachable = (element) =>
    !element.disabled && !element.closest('[hidden], [inert]') && element.checkVisibility({ visibilityProperty: true });
  const named = (element) =>
    [element.tagName.toLowerCase(), element.id && '#' + element.id, element.ariaLabel ?? element.textContent.trim().slice(0, 40)]
      .filter(Boolean).join(' ');
  const controls = () => [...document.querySelectorAll(focusable)].filter(isReachable);
  window.walk = { stops: [], faults: [], before: new Set(controls()), controls, named };
  document.body.tabIndex = -1;
  document.body.focus();
  document.body.removeAttribute('tabindex');
})()`;

// Looks at the element that Tab has led to. Returns whether the way goes on.
const STOP = `(() => {
  const { stops, faults, named } = window.walk;
  const at = document.activeElement;
  if (at === null || at === document.body || stops.includes(at)) return false;
  const { outlineStyle, outlineWidth } = getComputedStyle(at);
  if (outlineStyle === 'none' || parseFloat(outlineWidth) < 2) faults.push('no visible focus: ' + named(at));
  const last = stops.at(-1);
  const isBehind = !last?.isConnected || last.compareDocumentPosition(at) & Node.DOCUMENT_POSITION_FOLLOWING;
  if (!isBehind) faults.push('out of order: ' + named(at) + ' after ' + named(last));
  const { top, bottom } = at.getBoundingClientRect();
  if (bottom < 0 || top > innerHeight) faults.push('not in view: ' + named(at));
  stops.push(at);
  return true;
})()`;

// Controls that have come or gone meanwhile do not count.
const END = `(() => {
  const { stops, faults, before, controls, named } = window.walk;
  const missed = controls().filter((element) => before.has(element) && !stops.includes(element));
  return [...faults, ...missed.map((element) => 'not reached: ' + named(element))];
})()`;

const MOST_STOPS = 500;

/** Walks through a page with Tab alone. Returns what a person would trip over: controls, their order, their focus. */
export async function walkByKeyboard(page: Page): Promise<string[]> {
  await page.evaluate(START);
  for (let stops = 0; stops < MOST_STOPS; stops += 1) {
    await page.keyboard.press('Tab');
    if (!(await page.evaluate<boolean>(STOP))) break;
  }
  return page.evaluate<string[]>(END);
}

/** What has the focus: its id, or its name. */
export function focusIn(page: Page): Promise<string> {
  return page.evaluate(
    `document.activeElement.id || document.activeElement.ariaLabel || document.activeElement.textContent.trim()`,
  );
}

/** Counts what live regions would read out, until the returned function stops it. */
export async function listenToLiveRegions(page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate(`(() => {
    window.heard = [];
    const regions = document.querySelectorAll('[aria-live=polite], [aria-live=assertive], [role=status], [role=alert]');
    window.ear = new MutationObserver((changes) => {
      for (const { target, addedNodes } of changes) {
        const element = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
        if (element?.closest('[aria-live=off]')) continue;
        const texts = target.nodeType === Node.TEXT_NODE ? [target] : addedNodes;
        for (const { textContent } of texts) window.heard.push(textContent);
      }
    });
    for (const region of regions) window.ear.observe(region, { childList: true, characterData: true, subtree: true });
  })()`);
  return () => page.evaluate<string[]>(`(window.ear.disconnect(), window.heard)`);
}
