# echo_tcp.py HOST PORT MESSAGE...
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
for message in sys.argv[3:]:
    s.send(message.encode())
    print(s.recv(1024).decode())
