# messages_strict.py HOST PORT MESSAGE...: knows only the bare word, and says goodbye without more
import socket, sys, zlib
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
for n, message in enumerate(sys.argv[3:]):
    while True:
        s.sendall(b"%d %d %s" % (n, zlib.crc32(message.encode()), message.encode()))
        if s.recv(1024) == b"ACK":
            break
        print("again")
s.sendall(b"TCHAU")
print(s.recv(1024).decode())
