export { TestClient, UpgradeRefused } from 'nestjs-websocket-isolation/testing';
