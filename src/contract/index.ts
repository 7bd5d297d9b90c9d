export { type ContractIssue } from './check.js';
export {
  type AnyContract,
  type ClientMessageDefinition,
  type Contract,
  type ContractDefinition,
  defineContract,
  type MessageDefinition,
  type Messages,
  type RepliedDefinition,
} from './contract.js';
export {
  type CallArgs,
  type DataOf,
  type EventOf,
  type ItemOf,
  type ReceivedData,
  type ReceivedItem,
  type ReceivedReply,
  type ReplyOf,
  type SentArgs,
  type SentData,
  type SentItem,
  type SentReply,
  type StreamEventOf,
  type TopicMessages,
  type TopicName,
} from './message-types.js';
export {
  type InputOf,
  type OutputOf,
  type StandardIssue,
  type StandardJsonSchema,
  type StandardProperties,
  type StandardResult,
  type StandardSchema,
} from './standard-schema.js';
