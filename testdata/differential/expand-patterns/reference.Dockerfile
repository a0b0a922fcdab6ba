FROM 127.0.0.1:5000/library/busybox
ENV path=/usr/local/lib/libfoo.so.1
ENV a=local/lib/libfoo.so.1 b=libfoo.so.1 c=/usr/local/lib/libfoo.so d=/usr/local/lib/libfoo e=/usr/share/lib/libfoo.so.1 f=/usr/LocaL/Lib/Libfoo.so.1 g=/usr/local/lib/libfoo.so.1 h=/usr/local/X
RUN env | grep -E '^[a-h]=' | sort > /out
