# mp3_tcp.py OUT: stores what comes until the stream ends, and says nothing
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
with open(sys.argv[1], "wb") as f:
    while chunk := connection.recv(4096):
        f.write(chunk)
