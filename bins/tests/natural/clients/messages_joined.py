# messages_joined.py HOST PORT MESSAGE...: all lines in one piece
import socket, sys, zlib
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
lines = [f"{n} {zlib.crc32(m.encode())} {m}" for n, m in enumerate(sys.argv[3:])]
s.sendall("||".join(lines).encode())
print(s.recv(1024).decode().count("ACK"))
