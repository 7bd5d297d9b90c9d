// Installs the tools that the tests need and that are missing, from Debian's packages. On other systems, or without
// root, it prints the missing packages and exits with status 1.
import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const TOOLS = [
  {
    package: 'chromium',
    commands: ['chromium', 'chromium-browser', 'google-chrome'],
    variable: 'CHROMIUM_PATH',
  },
  {
    package: 'firefox-esr',
    commands: ['firefox-esr', 'firefox'],
    variable: 'FIREFOX_PATH',
  },
  {
    package: 'redis-server',
    commands: ['redis-server'],
    variable: 'REDIS_SERVER_PATH',
  },
  {
    package: 'nginx-light',
    commands: ['nginx'],
    variable: 'NGINX_PATH',
  },
  {
    package: 'haproxy',
    commands: ['haproxy'],
    variable: 'HAPROXY_PATH',
  },
];

const missing = TOOLS.filter((tool) => !isThere(tool));
if (missing.length > 0) install(missing.map((tool) => tool.package));

function isThere({ commands, variable }) {
  if (process.env[variable]) return isExecutable(process.env[variable]);
  // Debian installs servers in /usr/sbin, which is not on the PATH of an ordinary user.
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];
  return commands.some((command) => folders.some((folder) => isExecutable(join(folder, command))));
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function install(packages) {
  const canInstall = process.getuid?.() === 0 && isThere({ commands: ['apt-get'], variable: '' });
  if (!canInstall) {
    console.error(
      `The tests need ${packages.join(' and ')}, which this machine lacks. Run \`npm run setup\` as root, install ` +
        `them (Debian: apt-get install ${packages.join(' ')}), or set ${TOOLS.map((tool) => tool.variable).join(', ')} to their paths.`,
    );
    process.exit(1);
  }
  console.log(`Installing ${packages.join(', ')} from the distribution's packages …`);
  const options = { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  execFileSync('apt-get', ['update', '-qq'], options);
  execFileSync(
    'apt-get',
    ['install', '-y', '-qq', '--no-install-recommends', ...packages],
    options,
  );
}
