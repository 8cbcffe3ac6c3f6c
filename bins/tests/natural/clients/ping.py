# ping.py HOST PORT COUNT: sends a message, waits, tries again with a longer timeout
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for n in range(int(sys.argv[3])):
    timeout = 0.5
    while True:
        s.settimeout(timeout)
        sent = time.time()
        s.sendto(b"message %d" % n, (sys.argv[1], int(sys.argv[2])))
        try:
            reply = s.recv(1024)
            break
        except TimeoutError:
            timeout *= 2
    print(reply.decode(), "after", round(1000 * (time.time() - sent), 3), "ms")
