export { eventually } from 'nestjs-websocket-isolation/testing';
