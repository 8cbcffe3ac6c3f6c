# saw.py HOST PORT OUT text|binary: stop-and-wait, asks for packet n until it comes
import socket, struct, sys
server, out = (sys.argv[1], int(sys.argv[2])), open(sys.argv[3], "wb")
encode = {"text": lambda n: str(n).encode(), "binary": lambda n: struct.pack("!I", n)}[sys.argv[4]]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
n = 0
while True:
    s.sendto(encode(n), server)
    try:
        packet, _ = s.recvfrom(65535)
    except TimeoutError:
        continue
    if not packet:
        break
    out.write(packet)
    n += 1
print(n, "packets")
