import { $ } from './dom.js';

// Light, dark, or the theme of the system. The choice is stored if the browser permits it.

const KEY = 'websocket-isolation-theme';

function remembered() {
  try {
    return localStorage.getItem(KEY) ?? 'system';
  } catch {
    return 'system';
  }
}

function apply(theme) {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function startTheme() {
  const select = $('#theme');
  select.value = remembered();
  apply(select.value);
  select.addEventListener('change', () => {
    apply(select.value);
    try {
      localStorage.setItem(KEY, select.value);
    } catch {
      // The browser does not store it: the choice applies until the page is loaded again.
    }
  });
}
