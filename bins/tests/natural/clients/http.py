# http.py HOST PORT PATH OUT: GET by hand, saves what it gets
import socket, sys
host, port, path, out = sys.argv[1:]
s = socket.create_connection((host, int(port)))
s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
answer = b""
while piece := s.recv(4096):
    answer += piece
head, body = answer.split(b"\r\n\r\n", 1)
print(head.split(b"\r\n")[0].decode())
open(out, "wb").write(body)
