# mp3_tcp.py HOST PORT FILE: sends a file and closes
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
with open(sys.argv[3], "rb") as f:
    while chunk := f.read(4096):
        s.sendall(chunk)
s.close()
