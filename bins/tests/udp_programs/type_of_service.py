"""Sends datagrams through a proxy and prints with which type of service each arrives.

Prints the port at which it listens, reads that of the proxy, and then prints the types in hexadecimal.
"""
import socket
import sys

HOST = sys.argv[1]
IPV6 = ":" in HOST
FAMILY = socket.AF_INET6 if IPV6 else socket.AF_INET
LEVEL = socket.IPPROTO_IPV6 if IPV6 else socket.IPPROTO_IP
SET, ASK = (socket.IPV6_TCLASS, socket.IPV6_RECVTCLASS) if IPV6 else (socket.IP_TOS, 13)

receiver = socket.socket(FAMILY, socket.SOCK_DGRAM)
receiver.setsockopt(LEVEL, ASK, 1)
receiver.bind((HOST, 0))
receiver.settimeout(20)
print(receiver.getsockname()[1], flush=True)
proxy = (HOST, int(sys.stdin.readline()))

sender = socket.socket(FAMILY, socket.SOCK_DGRAM)
for ecn in range(4):
    # Expedited forwarding (RFC 3246) beside what is said of congestion.
    sender.setsockopt(LEVEL, SET, 0xB8 | ecn)
    sender.sendto(b"x", proxy)
    _, beside, _, _ = receiver.recvmsg(100, 100)
    print("%02x" % beside[0][2][0], end=" ")
print()
