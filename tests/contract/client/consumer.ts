// A consumer and a requester as somebody would write them, with the types that the AsyncAPI document gives.
// It compiles only while the types are exact: each word has its case, and what may be null is asked for.
import type { Call, CallReply, CallRequest, EventType, Refused, ReservedEvent, UserState } from "./models";

const WORDS: Record<EventType, string> = {
  incoming: "is called",
  outgoing: "calls",
  ringing: "rings",
  answered: "talks",
  held: "waits",
  retrieved: "talks again",
  transferred: "is transferred",
  updated: "goes on",
  missed: "missed a call",
  ended: "is free",
  switched: "was switched",
};

export function sentence(event: ReservedEvent): string {
  const call: Call | null = event.call;
  const other = call === null ? (event.switch?.on ? "on" : "off") : (call.remote.user ?? call.remote.number);
  return `${event.user} ${WORDS[event.event_type]}: ${other}`;
}

export function busy(state: UserState): boolean {
  return state.call_state !== "idle" || state.calls.some((call) => call.held);
}

export const request: CallRequest = { id: "c-42", number: "0800 1234", anonymous: true };

export function result(reply: CallReply | Refused): string {
  return "call" in reply ? reply.call : `${reply.code}: ${reply.message}`;
}

// @ts-expect-error  no verb takes this field
export const unknown: CallRequest = { numbr: "1" };

// @ts-expect-error  there is no such event
export const word: EventType = "rang";
