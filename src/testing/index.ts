export { type AppClientOptions } from './app-client.js';
export { eventually } from './eventually.js';
export { type ExpectedData, type ExpectedEvent, type LibraryEvent } from './expected.js';
export { expectNoLeaks } from './expect-no-leaks.js';
export { FakeClock } from './fake-clock.js';
export { setPatience } from './patience.js';
export {
  startTestApplication,
  TestApplication,
  type TestApplicationSetup,
} from './test-application.js';
export { TestAuthenticator } from './test-authenticator.js';
export { type ReceivedMessage } from './received-message.js';
export { type LibraryRequest, TestClient, type TestClientOptions } from './test-client.js';
export { UpgradeRefused } from './upgrade-refused.js';
