// Test machines are shared and may be slow, so waits have a long timeout.
import { setPatience } from 'nestjs-websocket-isolation/testing';

setPatience(600_000);
