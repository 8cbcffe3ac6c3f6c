# clock.py HOST PORT COUNT: asks for the time on one connection
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
for n in range(int(sys.argv[3])):
    s.send(b"what time is it?")
    print(s.recv(1024).decode().strip())
