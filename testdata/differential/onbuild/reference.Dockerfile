FROM 127.0.0.1:5000/library/busybox
RUN echo first > /onbuild-first
COPY a.txt /onbuild/a.txt
ENV trigger=ran
RUN echo "second $trigger" > /onbuild-second
RUN ls -d /onbuild* > /after
