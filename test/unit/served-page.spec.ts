import { describe, expect, it } from '@jest/globals';

import { ServedPage } from '../../src/pages/served-page.js';

describe('a served page', () => {
  it('says at the boot which page has lost its files, and what to do', () => {
    expect(() => new ServedPage('asyncapi', ['page.js']).assertFiles('the page')).not.toThrow();
    for (const lost of [new ServedPage('asyncapi', ['lost.js']), new ServedPage('lost', [])]) {
      expect(() => lost.assertFiles('the page')).toThrow(
        expect.objectContaining({
          code: 'PAGE_FILES_MISSING',
          message: expect.stringMatching(/^The files of the page .* --packages=external/),
        }),
      );
    }
  });
});
