"""The benchmark's contract on python-socketio's AsyncServer and uvicorn."""

import sys

import socketio
import uvicorn

sio = socketio.AsyncServer(async_mode="asgi")


@sio.event
async def echo(sid, text):
    return text


@sio.event
async def bin(sid, data):
    return data


@sio.event
async def join(sid, name):
    await sio.enter_room(sid, name)


@sio.event
async def cast(sid, payload):
    await sio.emit("msg", payload)


@sio.event
async def room(sid, name, payload):
    await sio.emit("msg", payload, room=name)


if __name__ == "__main__":
    port = int(sys.argv[1])
    uvicorn.run(
        socketio.ASGIApp(sio), host="127.0.0.1", port=port, backlog=4096, log_level="warning", access_log=False
    )
