# ping.py PREFIX: confirms each message; with a prefix that is ACK and nothing more
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
while True:
    message, client = s.recvfrom(2048)
    s.sendto(b"ACK" if sys.argv[1] == "ACK" else sys.argv[1].encode() + message, client)
