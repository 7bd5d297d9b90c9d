// What codes and events mean, in words.

export const REASONS = {
  1000: 'closed',
  1001: 'the server went away',
  1006: 'the line was cut',
  4401: 'the sign-in has ended',
  4409: 'made room for a newer tab',
  4429: 'this user has 20 tabs already',
  4440: 'was silent for too long',
  4443: 'did not answer a ping',
};

export const SENTENCES = {
  said: ({ from, text }) => `${from}: ${text}`,
  agent_started: ({ question }) => `The assistant begins with “${question}”.`,
  agent_thinking: ({ thought }) => `It thinks: ${thought}`,
  tool_executing: ({ tool }) => `It uses the tool ${tool} …`,
  tool_completed: ({ tool, output }) => `${tool} says: ${output}`,
  agent_completed: ({ answer }) => answer,
  agent_cancelled: () => 'The assistant was stopped.',
  resume: ({ status, missed = 0 }) =>
    ({
      live: 'You are in the thread from now on.',
      recovered: `Back in the thread. Missed meanwhile: ${missed}.`,
      gap: 'Back in the thread; some of what was missed is gone.',
    })[status],
  exception: ({ message }) => `Error: ${message}`,
};

export const DEEDS = {
  'manager-removed': ({ subject, cause, code }) =>
    `closed a tab of ${subject.userId} (${subject.threadId}) with ${code}: ${cause}`,
  'connection-refused': ({ userId, reason, code }) =>
    `refused ${userId ?? 'somebody'} with ${code}: ${reason}`,
  'cleanup-finished': ({ kind, removed }) => `${kind} cleanup removed ${removed}`,
  'thread-mismatch': ({ subject, claimedThreadId }) =>
    `refused a message of ${subject.userId} for thread ${claimedThreadId}`,
};
