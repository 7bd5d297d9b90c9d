// `npm run api`: writes the public types of each entry point of the build to api/. `api-report.spec.ts` compares them
// with the packed package. `--of <folder of a package> --to <folder>` reads another package and writes elsewhere.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor';

const project = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: {
    of: { type: 'string', default: project },
    to: { type: 'string', default: join(project, 'api') },
  },
});

const manifestPath = join(values.of, 'package.json');
const manifest = JSON.parse(readFileSync(manifestPath, 'utf8'));
const compilerOptions = {
  target: 'ES2023',
  lib: ['ES2023', 'ESNext.Disposable'],
  module: 'nodenext',
  strict: true,
  types: ['node'],
  skipLibCheck: true,
};
const temporary = mkdtempSync(join(tmpdir(), 'api-report-'));

try {
  for (const [name, { types }] of Object.entries(manifest.exports)) {
    if (types) writeReport(name === '.' ? 'core' : name.slice(2), join(values.of, types));
  }
} finally {
  rmSync(temporary, { recursive: true });
}

function writeReport(name, types) {
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: values.of,
      newlineKind: 'lf',
      mainEntryPointFilePath: types,
      compiler: { overrideTsconfig: { compilerOptions, files: [types] } },
      apiReport: {
        enabled: true,
        // In the core, base classes of exported classes are included: apps can use their members too. The other
        // entry points use types that the core exports.
        includeForgottenExports: name === 'core',
        reportFileName: `${name}.api.md`,
        reportFolder: values.to,
        reportTempFolder: temporary,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        extractorMessageReporting: { default: { logLevel: 'none' } },
        tsdocMessageReporting: { default: { logLevel: 'none' } },
      },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: manifestPath,
  });
  const { succeeded } = Extractor.invoke(config, {
    // With `localBuild`, the extractor writes the report. Without it, it only compares.
    localBuild: true,
    messageCallback: (message) =>
      (message.handled ||= message.logLevel !== ExtractorLogLevel.Error),
  });
  if (!succeeded) throw new Error(`The report of ${name} has errors.`);
}
