// Machines of tests are shared: a wait fails when something does not happen, and not because it happens slowly.
import { setPatience } from 'nestjs-websocket-isolation/testing';

setPatience(60_000);
