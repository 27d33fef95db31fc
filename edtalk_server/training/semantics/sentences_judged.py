"""Sentences to judge by, which no training sees: as an actor might speak them, and with negations (CC0)."""

from __future__ import annotations

FURTHER = """
happy: You should see the look on my face, I'm grinning from ear to ear.
happy: Mum, Dad, I'm engaged!
happy: What a day. What a marvellous, marvellous day.
happy: They said the tumour is gone. It's all gone.
happy: I haven't felt this good since we were kids.
happy: Come on, turn it up, this is our song!
happy: You did it, kid, you really did it.
happy: I'm not sad at all, I'm over the moon.
happy: We finally have a place of our own.
sad: I still set the alarm for him every morning.
sad: He isn't coming back, is he?
sad: I would give anything to hear her laugh again.
sad: They were supposed to grow old together.
sad: I'm not okay, I haven't been okay for a long time.
sad: Nobody remembered. Not one of them.
sad: It was her last wish, and I couldn't even do that.
sad: Some nights I just sit in the car and cry.
sad: She isn't happy here, she never was.
angry: You had one job, and you blew it!
angry: Don't you take that tone with me, young man.
angry: I trusted you with my life, and you sold me out.
angry: Say that again, I dare you.
angry: Twenty years I gave this company, and they throw me out like trash!
angry: I don't want your apology, I want the truth!
angry: Who told you that you could come in here?
angry: I'm not upset, I am furious.
angry: Take it back. Take it back right now.
surprised: Hang on, this is your house?
surprised: You're telling me the dog drove the car?
surprised: I had no idea it was so big!
surprised: Wait, what? When did that happen?
surprised: Is that you, Jamie? After all these years?
surprised: It was in my pocket the whole time!
surprised: Well, I'll be damned, it actually works.
surprised: You never told me you had a sister!
surprised: Nobody has ever beaten that record, and he's nine!
fear: There is somebody in the house.
fear: Please, I'm begging you, put the gun down.
fear: Keep driving, don't stop, they're right behind us.
fear: I can't find her, she was here a minute ago!
fear: Did you lock the back door? I heard footsteps.
fear: I don't want to go down there.
fear: What if it comes back tonight?
fear: We're not alone in here.
fear: Oh God, the floor is giving way!
disgusted: Is that mould on the bread?
disgusted: Ew, he just wiped it on the curtain.
disgusted: I wouldn't feed that to a dog.
disgusted: It smells like something crawled in here and died.
disgusted: You're not seriously going to eat that off the floor.
disgusted: Get that slimy thing away from my face.
disgusted: The sheets haven't been changed in weeks, I feel itchy.
disgusted: He's a creep, he makes my skin crawl.
neutral: The keys are in the blue bowl by the door.
neutral: I'll pick you up at half past six.
neutral: My cousin works at the post office.
neutral: It isn't urgent, you can do it tomorrow.
neutral: I'm not angry, I just want to know when you'll be back.
neutral: There's a copy in the other folder.
neutral: He parked across the street from the bakery.
neutral: We usually have lunch around one.
"""

NEGATED = """
happy: I'm not sad at all, I'm over the moon.
happy: There's nothing to cry about, we won!
happy: I've never been so happy in my life.
happy: I can't stop smiling.
happy: Don't worry, everything is wonderful.
happy: I couldn't be happier.
sad: She isn't happy here, she never was.
sad: I don't enjoy anything anymore.
sad: It's no fun without him.
sad: There is no joy left in this house.
sad: I'm not angry with you, I'm only sad.
sad: Nobody loves me.
angry: I'm not upset, I am furious.
angry: This isn't funny!
angry: I don't love you, I hate you!
angry: That is not fair, and you know it!
angry: You never listen to me!
surprised: I can't believe it!
surprised: I never expected that!
surprised: I didn't know you could fly!
surprised: That can't be true!
fear: I don't feel safe here.
fear: I can't breathe, let me out!
fear: Don't leave me alone in the dark!
fear: I'm not brave enough to go in there.
disgusted: I'm not eating that.
disgusted: That doesn't smell fresh at all.
disgusted: I wouldn't touch that with a stick.
neutral: I'm not angry, I just want to know when you'll be back.
neutral: He isn't scared, he is only reading the paper.
neutral: It wasn't a surprise, it was on the list.
neutral: I'm neither happy nor sad about the new schedule.
neutral: No, I don't hate it, I just use the other one at work.
neutral: There's nothing wrong with the printer.
"""
