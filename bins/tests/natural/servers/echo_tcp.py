# echo_tcp.py: answers each message, without blanks around it
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    while message := connection.recv(1024):
        connection.send(message.strip())
