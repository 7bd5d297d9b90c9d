// The texts for close codes and events.

export const REASONS = {
  1000: 'closed',
  1001: 'the server shut down',
  1006: 'the connection was lost',
  4401: 'the sign-in has expired',
  4409: 'replaced by a newer tab',
  4429: 'this user has 20 tabs already',
  4440: 'was silent for too long',
  4443: 'did not answer a ping',
};

export const SENTENCES = {
  said: ({ from, text }) => `${from}: ${text}`,
  agent_started: ({ question }) => `The assistant begins with “${question}”.`,
  agent_thinking: ({ thought }) => `It thinks: ${thought}`,
  tool_executing: ({ tool }) => `It uses the tool ${tool} …`,
  tool_completed: ({ tool, output }) => `${tool} returns: ${output}`,
  agent_token: ({ text }) => text,
  agent_completed: ({ answer }) => answer,
  agent_cancelled: () => 'The assistant was stopped.',
  resume: ({ status, missed = 0 }, topic) =>
    ({
      live: 'You get the messages of the thread from now on.',
      recovered: `Back in the ${topic ? 'room' : 'thread'}. Missed meanwhile: ${missed}.`,
      gap: `Back in the ${topic ? 'room' : 'thread'}. Some missed messages are lost.`,
    })[status],
  exception: ({ message }) => `Error: ${message}`,
};

export const QUESTIONS = {
  approve: ({ tool, input }) => `May the assistant use the tool ${tool} on “${input}”?`,
};

export const DEEDS = {
  'manager-removed': ({ subject, cause, code }) =>
    `closed a tab of ${subject.userId} (${subject.threadId}) with ${code}: ${cause}`,
  'connection-refused': ({ userId, reason, code }) =>
    `refused ${userId ?? 'an unknown user'} with ${code}: ${reason}`,
  'cleanup-finished': ({ kind, removed }) => `${kind} cleanup removed ${removed}`,
  'thread-mismatch': ({ subject, claimedThreadId }) =>
    `refused a message of ${subject.userId} for thread ${claimedThreadId}`,
};
