# clock.py: answers whatever it gets with the local time, without a newline
import datetime, socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    while connection.recv(1024):
        connection.send(str(datetime.datetime.now()).encode())
