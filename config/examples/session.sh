#!/bin/sh
# A look at a PBX from the shell, and a call: mosquitto_sub shows, mosquitto_rr requests and waits for the reply.
# With `make demo`, which names its port: config/examples/session.sh PORT. Elsewhere: PBX=hq CALLER=anna NUMBER=0123 config/examples/session.sh
set -eu
PORT=${1:-1883} HOST=${HOST:-127.0.0.1} PBX=${PBX:-office} CALLER=${CALLER:-reception} NUMBER=${NUMBER:-"0800 1234"}
USER_TOPIC=innovaphone/$PBX/user/$CALLER

subscribe() { mosquitto_sub -h "$HOST" -p "$PORT" -q 1 "$@"; }
request() { mosquitto_rr -h "$HOST" -p "$PORT" -q 1 -W 10 "$@"; }

echo "Is the PBX online?"
subscribe -W 10 -C 1 -t "innovaphone/$PBX/state" -v

echo "Its users, everything that is retained within two seconds:"
subscribe -W 2 -t "innovaphone/$PBX/user/+/state" -F '%t' 2>/dev/null || test $? = 27  # 27: the time is over

echo "$CALLER calls $NUMBER; the reply has the id of the call:"
reply=$(request -V mqttv5 -e "innovaphone/reply/shell-$$" -t "$USER_TOPIC/command/call" -m "{\"number\": \"$NUMBER\"}")
echo "$reply"
call=$(echo "$reply" | sed -n 's/.*"call": *"\([^"]*\)".*/\1/p')

echo "$CALLER now, with the call:"
subscribe -W 10 -C 1 -t "$USER_TOPIC/state"

echo "$CALLER hangs up that call, it may have others:"
request -V mqttv5 -e "innovaphone/reply/shell-$$" -t "$USER_TOPIC/command/clear" -m "{\"call\": \"$call\"}"

echo "With MQTT 3.1.1 there is no response topic: the reply is on innovaphone/$PBX/response/presence, where others hear it too:"
request -V mqttv311 -e "innovaphone/$PBX/response/presence" -t "$USER_TOPIC/command/presence" -m away

# Nobody has to wait for the reply.
mosquitto_pub -h "$HOST" -p "$PORT" -q 1 -t "$USER_TOPIC/command/presence" -m ""
echo "To see everything: mosquitto_sub -h $HOST -p $PORT -v -t 'innovaphone/$PBX/#'"
