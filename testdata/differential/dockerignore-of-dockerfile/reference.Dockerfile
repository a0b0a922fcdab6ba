FROM 127.0.0.1:5000/library/busybox
RUN mkdir /all && echo a > /all/a && touch -d @1000000000 /all/a
